"""Do the bounds on the generalization gap hold, and are they of use?"""
