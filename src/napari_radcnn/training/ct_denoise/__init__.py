"""How `ct-denoise` is trained: the noise of a lower dose added to real scans."""

RECIPES = {"ct-denoise": "recipe"}
