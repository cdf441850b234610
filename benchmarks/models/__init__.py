"""What the cards of the models say, measured; a folder a model.

A folder holds ``measure.py`` (the figures), ``robustness.py`` (how answers change with the scan), ``failures.py``
(pictures of what the model does worst), and for each of its models ``NAME.md.in`` (the prose of the card) and
``NAME.figures.json`` (what was measured). Whatever is there is found by looking; ``docs/how-to/add-a-model.md`` says
what each must hold.
"""
