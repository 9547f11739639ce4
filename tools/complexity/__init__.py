"""How well the `complexity` strategy's score predicts that a cheap model fails where a strong one succeeds."""
