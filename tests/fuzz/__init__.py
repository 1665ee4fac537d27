"""What happens to a project whose files hold anything at all? Made files, and one run of each.

`python -m tests.fuzz --minutes 10 --seed 1` goes on where the last run of that seed ended. It is
no benchmark, which prints figures, and no script, which nothing runs: a piece of it is a test.
"""
