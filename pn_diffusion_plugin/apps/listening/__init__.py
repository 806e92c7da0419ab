"""The listening test: design, stimuli, page, answers and their analysis."""
