"""How symmetric is the task, and what does a mismatch with the model cost?"""
