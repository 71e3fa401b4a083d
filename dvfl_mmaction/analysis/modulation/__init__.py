"""Show what a Video-FocalNet looks at: its modulators in space and time."""
