"""The replicated approaches; none of them knows of a regulariser."""
