"""Reading a scan: windows, planes, linked views, and what is under the cursor."""
