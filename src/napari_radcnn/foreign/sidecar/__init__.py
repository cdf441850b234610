"""Single files of weights, with a ``model.json`` that says what they are for; documented in ``docs/model_json.md``."""
