({ colour ? 1, size ? 2 }: size) { color = 1; }
