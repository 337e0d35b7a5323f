"""What people ask, one file per question: `ask` makes a question of names, the rest answers it."""
