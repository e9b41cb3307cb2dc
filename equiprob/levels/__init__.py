"""How much symmetry is best?"""
