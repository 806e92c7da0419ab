"""The listening test: what is asked (design), what is heard (stimuli), the page, the answers and what they say."""
