"""Comparisons as people read them: Markdown, HTML and figures, pure functions of their document."""
