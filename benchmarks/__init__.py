"""How fast is modelctl, beside Modal's own command, in one run on this machine?"""
