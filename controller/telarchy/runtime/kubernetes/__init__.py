"""The door to a Kubernetes cluster: objects become the World, statuses go back, and nothing else is different.

The API server keeps desired state and status; a namespace is a fleet. kopf watches (its low-level events only: no
index, no daemon, none of its finalizers and patches), and everything that is written is written by this package's own
small client, on change only and at a bounded rate. What this version costs a cluster at rest is one LIST of metadata
per kind every two minutes and one Lease renewal per fleet every five seconds.

    cluster    the client: requests, retries, typed errors      objects    what is declared in one namespace
    listing    has everything been listed, does the watch live  source     objects as a source of desired state
    statuses   writes /status                                   events     posts Kubernetes events
    journal    what the loop writes down                        approvals  what a person released by annotation
    secrets    values behind secretRefs                         lease      one writer per fleet
    finalizers what holds deleted objects until undone          rates      how often may be written
    fleet      one namespace, from Lease to rest                operator   all of them, and kopf
    health     liveness and metrics                             login      who we are: a service account or a kubeconfig
"""
