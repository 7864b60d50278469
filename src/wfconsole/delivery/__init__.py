"""Letters by SMTP. The only package that speaks to mail servers; `sender` is a program of its own and imports little."""
