"""How `lung-nodules` is trained: nodules drawn into real lungs."""
