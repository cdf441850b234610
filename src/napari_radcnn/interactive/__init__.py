"""Interactive segmentation without Qt: prompts, engines, correction tools, history, autosave.

`napari_radcnn.session.PromptSession` puts them together.
"""
