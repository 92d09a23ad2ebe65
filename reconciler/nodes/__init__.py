"""What runs on Ray's nodes: the replica that supervises an engine, and the engines that packages bring.

Installed on every node, and independent of the pipeline: nothing here imports it, nothing but a name and a version is known of it there.
"""

# Stands in every application's args: counting it up restarts every replica, so it changes only when replicas must run the new code.
VERSION = "1"
