"""Two hosts and a floor, in manifests."""

MANIFESTS = """\
apiVersion: telarchy.dev/v1alpha1
kind: Host
metadata: {name: black, labels: {site: home}}
spec:
  class: Server
  alwaysOn: true
  connection: {local: {}}
  mediaRoots: [{name: main, path: /srv/black}]
---
apiVersion: telarchy.dev/v1alpha1
kind: Host
metadata: {name: attic, labels: {site: away}}
spec:
  class: Server
  connection: {local: {}}
  mediaRoots: [{name: main, path: /srv/attic}]
---
apiVersion: telarchy.dev/v1alpha1
kind: CustodyFloor
metadata: {name: films}
spec:
  select: {paths: ["films/*"]}
  copies: 1
"""
BROKEN = MANIFESTS.replace("alwaysOn: true", "alwaysOm: true").replace("copies: 1", "copies: lots")
