"""What an administrator asks for above the coordinators: describing and changing configs."""
