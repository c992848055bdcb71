"""What every app may use: errors, encryption, settings access. Imports no app."""
