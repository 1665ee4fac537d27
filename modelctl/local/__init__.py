"""What is Modal on this machine? A control plane that speaks Modal's protocol to the unchanged SDK.

It runs in a process of its own and imports nothing of modelctl outside this package. Other code
reaches it through :mod:`modelctl.local.lifecycle` only, which is light enough for a CLI.
"""
