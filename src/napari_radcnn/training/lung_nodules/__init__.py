"""How `lung-nodules` is trained: nodules drawn into real lungs."""

RECIPES = {"lung-nodules": "recipe"}
