"""The teacher's part: lessons without their solutions, and points for what students hand in."""
