"""What do the GitHub Action, the workflows and the hook do where GitHub would run them?"""
