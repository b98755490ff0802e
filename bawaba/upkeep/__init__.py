"""What is done to an installation as a whole: putting a backup back, bringing it up to date, moving its database."""
