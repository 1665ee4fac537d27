"""What does a person do to an app past its spec, and how is that remembered until released?"""
