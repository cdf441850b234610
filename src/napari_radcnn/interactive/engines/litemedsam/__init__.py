"""The engine `litemedsam`: LiteMedSAM slice by slice."""
