"""The boxes that let guests in, and how to talk to each make."""
