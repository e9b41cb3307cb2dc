"""How equivariant is a model, and what is sure of it?"""
