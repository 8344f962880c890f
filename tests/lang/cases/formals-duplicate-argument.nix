{ a } @ a: a
