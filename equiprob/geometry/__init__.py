"""How large and how steep are inputs, up to symmetry?"""
