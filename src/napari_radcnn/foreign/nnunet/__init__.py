"""nnU-Net models: plans, preprocessing, folds and cascades as nnU-Net has them."""
