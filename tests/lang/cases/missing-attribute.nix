{ hello = 1; help = 2; }.hell
