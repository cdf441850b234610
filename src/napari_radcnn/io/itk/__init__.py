"""NRRD and MetaImage: ITK's order of axes turned into ours in one place."""
