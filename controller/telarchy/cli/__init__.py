"""The command line: one module per verb or small group, loaded only when it is used."""
