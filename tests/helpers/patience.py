"""How long tests wait for what comes sooner or later."""

#: In s; so long that a loaded computer has come to it. What comes is not waited for any longer, what never comes fails.
PATIENCE = 300
