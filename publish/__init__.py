"""What is published besides the program: pages made from the declarations, and releases."""
