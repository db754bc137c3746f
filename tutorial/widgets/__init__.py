"""What a notebook shows alive: each widget is a class, and an ES module beside it."""
