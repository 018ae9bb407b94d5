// Word lists of the sample data, written for this example. Nobody and nothing here is real.

export const regions = [
  {
    code: "NORDIC", name: "Nordic countries", zone: "Europe/Stockholm", share: 9,
    cities: [["Stockholm", "SE", "1## ##"], ["Göteborg", "SE", "4## ##"], ["Malmö", "SE", "2## ##"], ["Uppsala", "SE", "75# ##"], ["Oslo", "NO", "0###"], ["Bergen", "NO", "5###"], ["København", "DK", "1###"], ["Aarhus", "DK", "8###"], ["Helsinki", "FI", "00##0"], ["Turku", "FI", "20##0"]],
    first: ["Astrid", "Lars", "Ingrid", "Nils", "Freja", "Mikkel", "Aino", "Eero", "Signe", "Henrik", "Linnea", "Oskar"],
    last: ["Lindqvist", "Dahl", "Nygaard", "Holm", "Virtanen", "Korhonen", "Sandberg", "Bakken", "Friis", "Ekström", "Lund", "Solberg"],
    streets: ["Storgatan", "Kungsgatan", "Strandvägen", "Havnegade", "Nygade", "Kirkeveien", "Torggata", "Mannerheimintie"],
    forms: ["AB", "A/S", "Oy", "AS"],
  },
  {
    code: "ISLES", name: "Britain and Ireland", zone: "Europe/London", share: 13,
    cities: [["London", "GB", "SE# #AB"], ["Bristol", "GB", "BS# #TQ"], ["Leeds", "GB", "LS# #HD"], ["Edinburgh", "GB", "EH# #JG"], ["Cardiff", "GB", "CF# #LN"], ["Norwich", "GB", "NR# #PA"], ["Brighton", "GB", "BN# #WL"], ["Dublin", "IE", "D0# X#F#"], ["Cork", "IE", "T1# R#H#"], ["Galway", "IE", "H9# K#P#"]],
    first: ["Alice", "Owen", "Harriet", "Callum", "Niamh", "Rory", "Edith", "Gareth", "Imogen", "Declan", "Phoebe", "Hamish"],
    last: ["Ashworth", "Pemberton", "O'Rourke", "Kearney", "Hughes", "Sinclair", "Marlowe", "Whitfield", "Gallagher", "Tregear", "Drummond", "Hale"],
    streets: ["High Street", "Station Road", "Mill Lane", "Church Row", "Quay Street", "Market Place", "King's Parade", "Abbey Road"],
    forms: ["Ltd", "& Sons", "Limited", "& Co"],
  },
  {
    code: "BENELUX", name: "Belgium, Netherlands, Luxembourg", zone: "Europe/Amsterdam", share: 14,
    cities: [["Amsterdam", "NL", "10## KX"], ["Rotterdam", "NL", "30## BD"], ["Utrecht", "NL", "35## GM"], ["Groningen", "NL", "97## PL"], ["Maastricht", "NL", "62## HV"], ["Antwerpen", "BE", "20##"], ["Gent", "BE", "90##"], ["Liège", "BE", "40##"], ["Bruxelles", "BE", "10##"], ["Luxembourg", "LU", "1###"]],
    first: ["Sanne", "Bram", "Femke", "Joost", "Lotte", "Wouter", "Elise", "Thijs", "Marieke", "Pieter", "Noor", "Ruben"],
    last: ["van Dijk", "de Graaf", "Vermeulen", "Jansen", "Peeters", "Claes", "Hoekstra", "Kuipers", "Wauters", "Molenaar", "Thys", "Brouwer"],
    streets: ["Dorpsstraat", "Kerkstraat", "Nieuwe Gracht", "Havenkade", "Molenweg", "Stationsplein", "Rue Haute", "Marktplein"],
    forms: ["BV", "NV", "& Zonen", "SRL"],
  },
  {
    code: "CENTRAL", name: "Germany, Austria, Switzerland", zone: "Europe/Berlin", share: 24,
    cities: [["Berlin", "DE", "10###"], ["Hamburg", "DE", "20###"], ["München", "DE", "80###"], ["Köln", "DE", "50###"], ["Leipzig", "DE", "04###"], ["Freiburg", "DE", "79###"], ["Bremen", "DE", "28###"], ["Wien", "AT", "10#0"], ["Graz", "AT", "80#0"], ["Zürich", "CH", "80##"], ["Basel", "CH", "40##"], ["Bern", "CH", "30##"]],
    first: ["Katharina", "Jonas", "Friederike", "Matthias", "Anneliese", "Lukas", "Regula", "Urs", "Leonie", "Tobias", "Magdalena", "Florian"],
    last: ["Brandt", "Hofstetter", "Kessler", "Lindner", "Vogt", "Baumgartner", "Reinhardt", "Zürcher", "Albrecht", "Moser", "Winkler", "Sauer"],
    streets: ["Hauptstraße", "Lindenallee", "Marktgasse", "Bahnhofstraße", "Am Alten Hafen", "Gartenweg", "Mühlenstraße", "Schillerplatz"],
    forms: ["GmbH", "KG", "AG", "& Söhne"],
  },
  {
    code: "FRANCE", name: "France", zone: "Europe/Paris", share: 15,
    cities: [["Paris", "FR", "750##"], ["Lyon", "FR", "690##"], ["Marseille", "FR", "130##"], ["Nantes", "FR", "440##"], ["Bordeaux", "FR", "330##"], ["Strasbourg", "FR", "670##"], ["Lille", "FR", "590##"], ["Rennes", "FR", "350##"], ["Toulouse", "FR", "310##"], ["Annecy", "FR", "740##"]],
    first: ["Camille", "Étienne", "Solène", "Baptiste", "Margaux", "Rémi", "Clémence", "Théo", "Hélène", "Gaspard", "Inès", "Lucien"],
    last: ["Moreau", "Lefèvre", "Garnier", "Chevallier", "Dubreuil", "Fontaine", "Marchand", "Perrin", "Roussel", "Delmas", "Giraud", "Besnard"],
    streets: ["Rue de la République", "Rue du Moulin", "Avenue de la Gare", "Quai des Chartrons", "Place du Marché", "Rue des Lilas", "Boulevard Victor Hugo", "Rue Saint-Jean"],
    forms: ["SARL", "SAS", "et Fils", "& Cie"],
  },
  {
    code: "IBERIA", name: "Spain and Portugal", zone: "Europe/Madrid", share: 10,
    cities: [["Madrid", "ES", "280##"], ["Barcelona", "ES", "080##"], ["Valencia", "ES", "460##"], ["Sevilla", "ES", "410##"], ["Bilbao", "ES", "480##"], ["San Sebastián", "ES", "200##"], ["Lisboa", "PT", "1##0-0##"], ["Porto", "PT", "4##0-1##"], ["Coimbra", "PT", "3##0-2##"]],
    first: ["Lucía", "Álvaro", "Carmen", "Rodrigo", "Beatriz", "Tomás", "Inés", "Duarte", "Pilar", "Gonçalo", "Nerea", "Iker"],
    last: ["Ortega", "Navarro", "Ferreira", "Etxeberria", "Campos", "Almeida", "Serrano", "Pinto", "Molina", "Carvalho", "Rey", "Vidal"],
    streets: ["Calle Mayor", "Calle del Pozo", "Avenida del Puerto", "Plaza Nueva", "Rua das Flores", "Rua Augusta", "Paseo de la Ribera", "Calle San Juan"],
    forms: ["S.L.", "S.A.", "Lda.", "e Hijos"],
  },
  {
    code: "ITALY", name: "Italy", zone: "Europe/Rome", share: 9,
    cities: [["Milano", "IT", "201##"], ["Torino", "IT", "101##"], ["Bologna", "IT", "401##"], ["Firenze", "IT", "501##"], ["Roma", "IT", "001##"], ["Napoli", "IT", "801##"], ["Verona", "IT", "371##"], ["Genova", "IT", "161##"], ["Trieste", "IT", "341##"]],
    first: ["Chiara", "Matteo", "Giulia", "Lorenzo", "Elisa", "Davide", "Bianca", "Pietro", "Serena", "Marco", "Ludovica", "Enzo"],
    last: ["Bellini", "Conti", "Ferrari", "Gallo", "Marchetti", "Rinaldi", "Sartori", "De Luca", "Orsini", "Fabbri", "Moretti", "Vitale"],
    streets: ["Via Roma", "Via Garibaldi", "Corso Italia", "Piazza del Mercato", "Via dei Mulini", "Via San Marco", "Viale dei Tigli", "Lungarno Vecchio"],
    forms: ["S.r.l.", "S.p.A.", "e Figli", "& C."],
  },
  {
    code: "EAST", name: "Poland, Czechia, the Baltics", zone: "Europe/Warsaw", share: 6,
    cities: [["Warszawa", "PL", "00-###"], ["Kraków", "PL", "30-###"], ["Gdańsk", "PL", "80-###"], ["Wrocław", "PL", "50-###"], ["Praha", "CZ", "110 ##"], ["Brno", "CZ", "602 ##"], ["Vilnius", "LT", "01###"], ["Rīga", "LV", "10##"], ["Tallinn", "EE", "101##"]],
    first: ["Agnieszka", "Marek", "Zofia", "Tomasz", "Tereza", "Jakub", "Ieva", "Andris", "Hanna", "Mati", "Ewa", "Vojtěch"],
    last: ["Kowalczyk", "Nowicki", "Zielińska", "Dvořák", "Novotná", "Kalniņš", "Ozols", "Tamm", "Petrauskas", "Wrona", "Sikora", "Mazur"],
    streets: ["ulica Długa", "ulica Rynek", "ulica Młyńska", "Nádražní", "Zahradní", "Brīvības iela", "Pikk tänav", "Pilies gatvė"],
    forms: ["sp. z o.o.", "s.r.o.", "UAB", "i Synowie"],
  },
];

export const callingCodes = { SE: 46, NO: 47, DK: 45, FI: 358, GB: 44, IE: 353, NL: 31, BE: 32, LU: 352, DE: 49, AT: 43, CH: 41, FR: 33, ES: 34, PT: 351, IT: 39, PL: 48, CZ: 420, LT: 370, LV: 371, EE: 372 };

export const kinds = [
  ["Grocer", 34, ["Corner Store", "Delicatessen", "Provisions", "Fine Foods", "Food Hall", "Larder", "Farm Shop", "Market Stores"]],
  ["Cafe", 26, ["Coffee House", "Tea Room", "Espresso Bar", "Bakery Café", "Roastery", "Patisserie"]],
  ["Restaurant", 24, ["Bistro", "Kitchen", "Trattoria", "Brasserie", "Dining Room", "Grill", "Tavern"]],
  ["Hotel", 9, ["Hotel", "Guest House", "Grand Hotel", "Inn", "Lodge"]],
  ["Canteen", 7, ["Canteen", "Catering", "School Kitchen", "Works Kitchen"]],
];

export const houseNames = ["Harbour", "Old Mill", "Blue Door", "Copper Kettle", "Juniper", "Lantern", "Orchard", "North Star", "Swallow", "Three Bridges", "Saffron", "Linden", "Red Barn", "Almond Tree", "Clock Tower", "Heron", "Salt & Rye", "Garden Gate", "Granary", "Quince", "Bell", "White Heather", "Wren", "Ferryman's", "Hazel", "Acorn", "Fig Leaf", "Golden Pear", "Millstone", "Tollgate", "Rosemary", "Stone Arch", "Barley", "Nightingale", "Sunday", "Elderflower", "Vineyard", "Walnut", "Fisherman's", "Thyme"];

// Category, its products' words, and the range of prices in cents of the smallest pack.
export const categories = [
  { code: "BEV", name: "Beverages", description: "Hot and cold, all without alcohol.", children: [
    { code: "COF", name: "Coffee", unit: "Box", price: [900, 1700], things: ["Espresso beans", "Filter coffee", "Decaf beans", "House blend", "Single-origin beans", "Cold-brew coffee"], sorts: ["Huila", "Sidamo", "Antigua", "Mandheling", "Santos", "Kivu"], packs: [["500 g", 0.5, 1], ["1 kg", 1, 1.9], ["5 kg", 5, 8.8]] },
    { code: "TEA", name: "Tea", unit: "Box", price: [500, 1300], things: ["Black tea", "Green tea", "Oolong", "White tea", "Herbal infusion", "Rooibos"], sorts: ["Highland", "First Flush", "Jasmine", "Smoked", "Lemon", "Breakfast"], packs: [["100 g", 0.1, 1], ["250 g", 0.25, 2.3], ["1 kg", 1, 8.4]] },
    { code: "JUI", name: "Juices and soft drinks", unit: "Crate", price: [700, 1700], things: ["Apple juice", "Pear nectar", "Blackcurrant drink", "Ginger beer", "Elderflower cordial", "Tomato juice"], sorts: ["cloudy", "pressed", "unsweetened", "sparkling", "old variety", "mild"], packs: [["6 × 1 l", 8, 1], ["12 × 0.33 l", 6, 1.1], ["24 × 0.2 l", 8, 1.5]] },
  ] },
  { code: "PAN", name: "Pantry", description: "What keeps for months.", children: [
    { code: "OIL", name: "Oils and vinegars", unit: "Bottle", price: [600, 1700], things: ["Olive oil", "Rapeseed oil", "Walnut oil", "Balsamic vinegar", "Cider vinegar", "Sherry vinegar"], sorts: ["extra virgin", "cold-pressed", "estate", "aged", "unfiltered", "organic"], packs: [["0.5 l", 0.6, 1], ["1 l", 1.1, 1.8], ["5 l", 5.3, 8]] },
    { code: "GRA", name: "Grains and pulses", unit: "Sack", price: [250, 700], things: ["Risotto rice", "Red lentils", "Chickpeas", "Pearl barley", "Buckwheat", "White beans"], sorts: ["organic", "selected", "hulled", "new crop", "regional", "small"], packs: [["1 kg", 1, 1], ["5 kg", 5, 4.6], ["25 kg", 25, 20]] },
    { code: "SPI", name: "Herbs and spices", unit: "Box", price: [250, 800], things: ["Black pepper", "Smoked paprika", "Cinnamon", "Oregano", "Cardamom", "Sea salt"], sorts: ["whole", "ground", "flaked", "hand-picked", "roasted", "coarse"], packs: [["100 g", 0.1, 1], ["400 g", 0.4, 3.4], ["1 kg", 1, 7.6]] },
    { code: "PAS", name: "Pasta and flour", unit: "Box", price: [150, 450], things: ["Spaghetti", "Penne", "Tagliatelle", "Bread flour", "Semolina", "Rye flour"], sorts: ["durum", "bronze-cut", "wholegrain", "stone-ground", "egg", "type 00"], packs: [["500 g", 0.5, 1], ["3 kg", 3, 5.2], ["10 kg", 10, 15]] },
    { code: "CAN", name: "Preserves", unit: "Piece", price: [220, 650], things: ["Peeled tomatoes", "Capers", "Olives", "Artichoke hearts", "Plum jam", "Gherkins"], sorts: ["in brine", "in oil", "fine", "whole", "extra", "mild"], packs: [["400 g", 0.4, 1], ["800 g", 0.8, 1.8], ["2.5 kg", 2.5, 5]] },
  ] },
  { code: "SWE", name: "Sweets and snacks", description: "For the counter and the minibar.", children: [
    { code: "CHO", name: "Chocolate", unit: "Box", price: [1200, 2800], things: ["Dark chocolate", "Milk chocolate", "Couverture", "Cocoa powder", "Hazelnut spread", "Pralines"], sorts: ["70 %", "with sea salt", "with almonds", "single-estate", "classic", "with orange"], packs: [["12 × 100 g", 1.2, 1], ["1 kg", 1, 0.9], ["5 kg", 5, 4.1]] },
    { code: "BIS", name: "Biscuits", unit: "Box", price: [220, 520], things: ["Shortbread", "Oat biscuits", "Cantuccini", "Ginger snaps", "Butter waffles", "Crackers"], sorts: ["classic", "with almonds", "wholegrain", "lemon", "mini", "with seeds"], packs: [["200 g", 0.2, 1], ["1 kg", 1, 4.2], ["4 kg", 4, 15]] },
    { code: "NUT", name: "Nuts and dried fruit", unit: "Box", price: [300, 700], things: ["Almonds", "Cashews", "Walnuts", "Apricots", "Figs", "Raisins"], sorts: ["roasted", "natural", "salted", "soft", "large", "organic"], packs: [["250 g", 0.25, 1], ["1 kg", 1, 3.7], ["10 kg", 10, 33]] },
  ] },
  { code: "FRE", name: "Chilled", description: "Delivered in the cool van.", children: [
    { code: "CHE", name: "Cheese", unit: "Piece", price: [600, 1300], things: ["Mountain cheese", "Goat's cheese", "Blue cheese", "Sheep's cheese", "Brie", "Cheddar"], sorts: ["6 months", "12 months", "raw milk", "herb crust", "young", "from the dairy"], packs: [["250 g", 0.25, 1], ["1 kg", 1, 3.6], ["half wheel", 6, 19]] },
    { code: "DAI", name: "Milk and butter", unit: "Crate", price: [350, 1000], things: ["Barista milk", "Salted butter", "Crème fraîche", "Natural yoghurt", "Oat drink", "Whipping cream"], sorts: ["organic", "pasture", "full", "light", "Alpine", "lactose-free"], packs: [["6 pieces", 3, 1], ["12 pieces", 6, 1.9], ["tub of 5 kg", 5, 1.7]] },
  ] },
  { code: "KIT", name: "Kitchen and counter", description: "What is used, not eaten.", children: [
    { code: "CUP", name: "Cups and packaging", unit: "Box", price: [400, 1400], things: ["Paper cups", "Take-away bowls", "Paper bags", "Wooden forks", "Napkins", "Cake boxes"], sorts: ["small", "medium", "large", "kraft", "white", "printed"], packs: [["100 pieces", 0.8, 1], ["500 pieces", 4, 4.3], ["1000 pieces", 8, 8]] },
    { code: "CLE", name: "Cleaning", unit: "Bottle", price: [300, 800], things: ["Dish soap", "Descaler", "Glass cleaner", "Dishwasher salt", "Hand soap", "Surface cleaner"], sorts: ["citrus", "neutral", "strong", "gentle", "refill", "unscented"], packs: [["1 l", 1, 1], ["5 l", 5, 4.2], ["10 l", 10, 7.9]] },
  ] },
];

export const supplierNames = ["Alder & Finch", "Montebruno", "Casa Valverde", "Hofgut Steinach", "Nordlys", "Brightwater", "Tre Torri", "Les Deux Rives", "Karsten", "Meadowgate", "Olivar del Sur", "Zum Anker", "Sonnhalde", "Polder & Dune", "Kestrel Hill", "Vallée d'Or", "Bosco Vecchio", "Amberland", "Fjordmark", "Quinta da Serra", "Wiesengrund", "Lowfold", "Cinque Vie", "Baltic Pantry", "Rive Gauche", "Highmoor", "Terra Alta", "Grünfelder", "Windmill & Daughters", "Saltholm"];
export const supplierTrades = ["Foods", "Trading", "Mills", "Estate", "Imports", "Dairies", "Packaging", "Roasters"];

export const surnamesOfStaff = ["Abel", "Berger", "Carlin", "Dorn", "Eklund", "Farrow", "Greco", "Hartwig", "Ibsen", "Juric", "Kolbe", "Lorant", "Mertens", "Novak", "Oberon", "Palmer", "Quade", "Rossi", "Szabo", "Thorne", "Ullmann", "Varga", "Wessel", "Yates", "Zander", "Bisset", "Corrigan", "Delacroix", "Engel", "Fuchs"];
export const firstNamesOfStaff = ["Marta", "Felix", "Noemi", "Arthur", "Selma", "Viktor", "Paula", "Emil", "Clara", "Hugo", "Ada", "Simon", "Greta", "Nico", "Rosa", "Theo", "Irene", "Kai", "Lena", "Oskar", "Judith", "Ben", "Flora", "Max", "Edda", "Pavel", "Nora", "Luca", "Iris", "Jan"];

export const remarks = ["Please deliver to the back door.", "Call before delivery.", "Leave with the neighbour at number 12.", "No delivery on Mondays.", "Pallet exchange.", "Partial delivery is fine.", "Invoice to the head office.", "Fragile: do not stack."];
export const notes = ["Pays early.", "Asks for organic goods first.", "Closed in August.", "Narrow street: small van only.", "Prefers delivery notes by e-mail.", "Seasonal: open April to October.", "Wants a sample of every new tea.", "Lift out of order: second floor."];
