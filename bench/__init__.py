"""What Telarchy costs, measured: each benchmark beside a peer or a declared bound. `python -m bench --help`."""
