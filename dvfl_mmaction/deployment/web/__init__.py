"""A web page that shows what a model predicts, and where it looks."""
