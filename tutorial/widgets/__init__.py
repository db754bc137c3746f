"""Widgets for a notebook or a page: a class in each file, its ES module and styles beside it."""
