"""Programs built on the models: generation from videos, demo, doctor, export, page, reports, listening test."""
