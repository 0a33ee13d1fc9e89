"""The kit that widgets are built from: traits and models here, controls and plots in JavaScript."""
