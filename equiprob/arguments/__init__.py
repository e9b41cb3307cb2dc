"""What may be passed as an argument, and which errors say that it may not?"""
