"""How equivariant is the model, and how symmetric is the task?"""
