"""Hides the ipywidgets that the book's tools bring along: a chapter has to run where there is none."""

raise ModuleNotFoundError("No module named 'ipywidgets'", name="ipywidgets")
