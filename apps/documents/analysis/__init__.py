"""What a text says. `results` has the shapes; `__main__` and the modules beside it are the rules of `local`; `model` asks a
language model. Rules run in a limited process of their own, as reading does."""
