"""What is Modal on this machine? A control plane that speaks Modal's protocol to the unchanged SDK.

It runs in a process of its own and imports nothing of modelctl outside this package. Other code
reaches it through `lifecycle` only. What can be said to it, and what this machine has, other code
may look up without one: in `faults`, `inventory`, `engines` and `tested`. All five import the
standard library only, so that they are light enough for a command line.

The way in: `plane` puts the parts together; `rpc` turns methods into RPCs; `services/` has a class
for each kind of object that answers them; `keeping/` holds what they know, in memory and in SQLite;
`running/` is what was published, live: a `fleet` of pools of containers, laid out by `launch` and
held by `supervise`, behind the `proxy`. `admin` is the plain HTTP beside it; that part of it which
steers a plane, its `faults`, GPUs and clock, is `controls`. What nobody could verify about Modal
stands in `assumptions`.

To serve another RPC, add a method with its name in snake case to the service that it belongs to.
"""
